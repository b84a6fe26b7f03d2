print("doorbuster")
