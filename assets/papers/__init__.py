"""What papers printed, as data with its source, and what of it this benchmark measures as well."""
