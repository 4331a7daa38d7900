module example.com/unpark/layoutgen

go 1.19
