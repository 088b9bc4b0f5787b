"""The workloads of the races: each runs one implementation's laps and checks that every lap was exact."""
