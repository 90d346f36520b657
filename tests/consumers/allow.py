"""Allows a user to write to topics, and to ask for them; with --describe only to ask for them and for their settings.

Arguments: [--describe], bootstrap, user, topic…
"""

import sys

from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType

arguments = sys.argv[1:]
operations = [ACLOperation.DESCRIBE]
if arguments[0] == "--describe":
    arguments.pop(0)
    operations.append(ACLOperation.DESCRIBE_CONFIGS)
else:
    operations.append(ACLOperation.WRITE)
bootstrap, user, *topics = arguments
admin = KafkaAdminClient(bootstrap_servers=bootstrap)
answer = admin.create_acls(
    [
        ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(ResourceType.TOPIC, topic))
        for topic in topics
        for operation in operations
    ]
)
assert not answer["failed"], answer
admin.close()
