"""Who a client is: certificates, the names in them, TLS settings."""
