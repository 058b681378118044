"""Why did the model's performance fall?"""
