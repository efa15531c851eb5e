"""The store on AWS: two DynamoDB tables."""
