// BrokerContract
