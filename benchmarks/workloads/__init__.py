"""What is raced: each workload runs one implementation's laps and checks that every lap was exact."""
