"""From a signal to a fitted field: plan, target, split, training and evaluation."""
