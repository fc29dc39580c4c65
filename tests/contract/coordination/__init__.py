"""What every backend of `retinue.coordination` promises."""
