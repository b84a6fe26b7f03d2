// StockCore
