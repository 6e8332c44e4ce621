"""Where core and I/O meet: one module per path through the product.

``predict`` reads a study into a report; the other modules hold the paths beside it.
"""
