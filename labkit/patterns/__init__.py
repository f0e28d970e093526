"""Parts that services are made of, as nodes or plain classes: they cannot tell what runs them."""
