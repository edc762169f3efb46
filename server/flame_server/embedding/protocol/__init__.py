"""What is read of the answers of services with OpenAI's API: vectors, and what they say of a failure.

`answer` reads vectors and takes what services differ in, `words` finds and cleans what a service says, and
`refusals` tells what a refusal is about. All of it is pure: `embedding.service` talks.

May import `embedding.identity` and nothing else of this project.
"""
