// StockClientTests
