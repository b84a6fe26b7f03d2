// DoorbusterTests
