# What a checkout offers beside PGXS's own targets; each is one script.

.PHONY: demo check psql bench lint check-memory

demo check psql bench lint check-memory:
	@.ci/$@
