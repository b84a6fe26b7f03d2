// Doorbuster
