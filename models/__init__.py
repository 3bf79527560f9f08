"""The two kinds of model: `models.generators` make images, `models.detectors` judge them."""
