// StockClient
