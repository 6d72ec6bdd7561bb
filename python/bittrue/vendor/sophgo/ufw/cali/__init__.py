"""`ufw.cali`: the vendor's automatic calibration, from a model to an INT8 bmodel."""
