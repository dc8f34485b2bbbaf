"""Success rates: episodes of policy or demonstrator, their log, what is made of them."""
