"""Training loops for the policy and its confidence rater."""
