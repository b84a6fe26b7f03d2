// StockTests
