"""The front door, where core and I/O meet: a study read, masks evaluated, data made or exchanged.

``predict`` reads a study into a report, ``evaluate`` masks into tables. What follows on these
has wings of its own: ``model_development``, ``reading_room``, ``arrivals``.
"""
