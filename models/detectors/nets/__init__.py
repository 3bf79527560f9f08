"""Parts of networks that several kinds of detector share."""
