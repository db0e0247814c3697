module example.org/foreign

go 1.26.0
