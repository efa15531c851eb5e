"""The ways in: bodies over HTTP, files, messages of a queue, corrected rejections; one commit takes them all."""
