module cardhook/consumer

go 1.26

require github.com/twmb/franz-go v1.20.6
