"""What revisions are compared by: the page of `dvc plots`, and the changes of a branch in Markdown."""
