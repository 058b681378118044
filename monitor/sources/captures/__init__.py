"""What serving platforms write down of each request, as rows with the model's inputs and what it answered."""
