module example.com/unpark/layoutgen/probe

go 1.18
