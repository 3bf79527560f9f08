"""results/index.html: the whole report on one page that needs no network."""
