"""Liu X. et al., Front Oncol 2021;11:773299: printed figures and study on digital patients."""
