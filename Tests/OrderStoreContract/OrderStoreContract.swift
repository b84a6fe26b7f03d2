// OrderStoreContract
