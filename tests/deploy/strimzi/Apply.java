import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.introspect.Annotated;
import com.fasterxml.jackson.databind.introspect.JacksonAnnotationIntrospector;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.strimzi.api.kafka.model.topic.KafkaTopic;
import io.strimzi.api.kafka.model.user.KafkaUser;
import io.strimzi.api.kafka.model.user.KafkaUserAuthorizationSimple;
import io.strimzi.api.kafka.model.user.KafkaUserScramSha512ClientAuthentication;
import io.strimzi.api.kafka.model.user.acl.AclResourcePatternType;
import io.strimzi.api.kafka.model.user.acl.AclRule;
import io.strimzi.api.kafka.model.user.acl.AclRuleGroupResource;
import io.strimzi.api.kafka.model.user.acl.AclRuleTopicResource;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Reads Strimzi's resources with Strimzi's classes, and does to a Kafka what its operators would. Arguments: file, bootstrap, the user's password. */
public class Apply {
    /** Strimzi keeps fields that it does not know, and then ignores them; here they fail. */
    static final ObjectMapper MAPPER = new ObjectMapper(new YAMLFactory())
            .setAnnotationIntrospector(new JacksonAnnotationIntrospector() {
                @Override
                public Boolean hasAnySetter(Annotated annotated) {
                    return false;
                }
            })
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_READING_DUP_TREE_KEY);

    public static void main(String[] arguments) throws Exception {
        List<NewTopic> topics = new ArrayList<>();
        Set<AclBinding> acls = new HashSet<>();
        List<String> users = new ArrayList<>();
        for (String text : Files.readString(Path.of(arguments[0])).split("(?m)^---$")) {
            JsonNode document = MAPPER.readTree(text);
            String kind = document.get("kind").asText();
            String version = document.get("apiVersion").asText();
            switch (kind) {
                case "KafkaTopic" -> {
                    served(version, KafkaTopic.RESOURCE_GROUP, KafkaTopic.VERSIONS);
                    topics.add(topic(MAPPER.treeToValue(document, KafkaTopic.class)));
                }
                case "KafkaUser" -> {
                    served(version, KafkaUser.RESOURCE_GROUP, KafkaUser.VERSIONS);
                    KafkaUser user = MAPPER.treeToValue(document, KafkaUser.class);
                    if (!(user.getSpec().getAuthentication() instanceof KafkaUserScramSha512ClientAuthentication)) throw new IllegalStateException("not SCRAM");
                    users.add(user.getMetadata().getName());
                    KafkaUserAuthorizationSimple simple = (KafkaUserAuthorizationSimple) user.getSpec().getAuthorization();
                    for (AclRule rule : simple.getAcls()) acls.addAll(bindings(user.getMetadata().getName(), rule));
                }
                default -> throw new IllegalStateException("unexpected kind " + kind);
            }
        }
        if (topics.size() != 3 || users.size() != 1) throw new IllegalStateException(topics + " " + users);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[1]))) {
            admin.createTopics(topics).all().get();
            ScramCredentialInfo scram = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096);
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(users.get(0), scram, arguments[2]))).all().get();
            admin.createAcls(acls).all().get();
            // The brokers take them over one after the other.
            for (int left = 50; !new HashSet<>(admin.describeAcls(AclBindingFilter.ANY).values().get()).equals(acls); left--) {
                if (left == 0) throw new IllegalStateException("the ACLs differ");
                Thread.sleep(200);
            }
        }
        System.out.println(topics.size() + " topics, user " + users.get(0) + " with " + acls.size() + " ACLs");
    }

    static NewTopic topic(KafkaTopic topic) {
        Map<String, String> config = new HashMap<>();
        topic.getSpec().getConfig().forEach((key, value) -> config.put(key, value.toString()));
        short replicas = topic.getSpec().getReplicas().shortValue();
        return new NewTopic(topic.getMetadata().getName(), topic.getSpec().getPartitions(), replicas).configs(config);
    }

    static void served(String apiVersion, String group, List<String> versions) {
        if (versions.stream().noneMatch(version -> apiVersion.equals(group + "/" + version))) {
            throw new IllegalStateException(apiVersion + ": Strimzi has " + group + "/" + versions);
        }
    }

    static List<AclBinding> bindings(String user, AclRule rule) {
        ResourcePattern pattern;
        if (rule.getResource() instanceof AclRuleTopicResource topic) {
            pattern = new ResourcePattern(ResourceType.TOPIC, topic.getName(), type(topic.getPatternType()));
        } else if (rule.getResource() instanceof AclRuleGroupResource group) {
            pattern = new ResourcePattern(ResourceType.GROUP, group.getName(), type(group.getPatternType()));
        } else {
            pattern = new ResourcePattern(ResourceType.CLUSTER, "kafka-cluster", PatternType.LITERAL);
        }
        AclPermissionType permission = AclPermissionType.fromString(rule.getType().toValue());
        return rule.getOperations().stream()
                .map(operation -> AclOperation.fromString(operation.toValue().replaceAll("(?<=[a-z])(?=[A-Z])", "_").toUpperCase()))
                .map(operation -> new AclBinding(pattern, new AccessControlEntry("User:" + user, rule.getHost(), operation, permission)))
                .toList();
    }

    static PatternType type(AclResourcePatternType type) {
        return type == AclResourcePatternType.PREFIX ? PatternType.PREFIXED : PatternType.LITERAL;
    }
}
