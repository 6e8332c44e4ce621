"""Series choice: what each volume is, and which are taken."""
