"""Train, val and test: groups dealt out, pairs with real images, sides as published."""
