module example.com/unpark/orders

go 1.18
