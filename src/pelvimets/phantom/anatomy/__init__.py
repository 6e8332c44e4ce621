"""Digital men: real bones and the tissue around them."""
