// StockCoreTests
