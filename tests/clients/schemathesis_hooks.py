"""What schemathesis must be told of media types that it does not know."""

import schemathesis

# The pieces of tus are bytes as they are.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
