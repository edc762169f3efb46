"""From a folder of MyST markdown to sections, chunks and passages."""
