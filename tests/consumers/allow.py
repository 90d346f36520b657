"""Allows a user to write to topics, and to ask for them.

Arguments: bootstrap, user, topic…
"""

import sys

from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType

bootstrap, user, *topics = sys.argv[1:]
admin = KafkaAdminClient(bootstrap_servers=bootstrap)
answer = admin.create_acls(
    [
        ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(ResourceType.TOPIC, topic))
        for topic in topics
        for operation in (ACLOperation.DESCRIBE, ACLOperation.WRITE)
    ]
)
assert not answer["failed"], answer
admin.close()
