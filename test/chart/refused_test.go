package chart_test

import (
	"strings"
	"testing"
)

// TestRefused holds wrong values to be refused with a message that says which they are.
// Each row spoils values with which the chart renders.
func TestRefused(t *testing.T) {
	for _, row := range []struct {
		set  string // as for --set-json: PATH=JSON, several with ; between
		says string // what the message has in it
	}{
		// What the schema refuses.
		{`edge.replicas=-1`, "/edge/replicas"},
		{`edge.replicas="three"`, "/edge/replicas"},
		{`edge.replica=3`, "replica"},
		{`edge.maxSessions=0`, "/edge/maxSessions"},
		{`edge.ringMiB=4096`, "/edge/ringMiB"},
		{`edge.drainTimeoutSeconds="30s"`, "/edge/drainTimeoutSeconds"},
		{`edge.preStopSeconds=0`, "/edge/preStopSeconds"},
		{`edge.autoscaling.kind="vpa"`, "/edge/autoscaling/kind"},
		{`edge.resources.limits.memory="1 GB"`, "/edge/resources/limits/memory"},
		{`edge.resources.limit={"memory":"1Gi"}`, "limit"},
		{`edge.service.type="ExternalName"`, "/edge/service/type"},
		{`edge.service.port=70000`, "/edge/service/port"},
		{`edge.pdb.maxUnavailable="half"`, "/edge/pdb/maxUnavailable"},
		{`edge.sysctls=[{"name":"net.core.somaxconn"}]`, "/edge/sysctls/0"},
		{`edge.extraEnv=[{"nam":"A"}]`, "/edge/extraEnv/0"},
		{`edge.tolerations=[{"operator":"Maybe"}]`, "/edge/tolerations/0/operator"},
		{`edge.podAnnotations={"a":true}`, "/edge/podAnnotations/a"},
		{`api.sysctls=[]`, "sysctls"},
		{`api.autoscaling.targetCPU=0`, "/api/autoscaling/targetCPU"},
		{`image.pullPolicy="Sometimes"`, "/image/pullPolicy"},
		{`image.digest="latest"`, "/image/digest"},
		{`image.repository=""`, "/image/repository"},
		{`nats.replicas=2`, "/nats/replicas"},
		{`nats.storage.size="lots"`, "/nats/storage/size"},
		{`nats.url="nats.example.com:4222"`, "/nats/url"},
		{`nats.zoneSpread="Always"`, "/nats/zoneSpread"},
		{`nats.credentials.secret="x"`, "secret"},
		{`publishSecret.value="short"`, "/publishSecret/value"},
		{`otel.endpoint="collector:4318"`, "/otel/endpoint"},
		{`otel.samplerArg="2"`, "/otel/samplerArg"},
		{`ingress.hosts=["https://ws.example.com"]`, "/ingress/hosts/0"},
		{`ingress.hosts="ws.example.com"`, "/ingress/hosts"},
		{`httpRoute.parentRefs=[{"namespace":"gateways"}]`, "/httpRoute/parentRefs/0"},
		{`networkPolicy.natsPorts=[]`, "/networkPolicy/natsPorts"},
		{`networkPolicy.from=[{"namespace":"x"}]`, "/networkPolicy/from/0"},
		{`metrics.serviceMonitor.interval="often"`, "/metrics/serviceMonitor/interval"},
		{`tls.secretName="x"`, "secretName"},
		{`fullnameOverride="Not A Name"`, "/fullnameOverride"},
		{`networkPolicy.from=[{}]`, "/networkPolicy/from/0"},
		{`networkPolicy.from=[{"ipBlock":{"cidr":"10.0.0.0/8"},"podSelector":{}}]`, "/networkPolicy/from/0"},
		{`networkPolicy.natsTo=[{"ipBlock":{"cidr":"10.0.0.1"}}]`, "/networkPolicy/natsTo/0/ipBlock/cidr"},
		{`edge.service={"type":"LoadBalancer","loadBalancerSourceRanges":["office"]}`, "/edge/service/loadBalancerSourceRanges/0"},
		// Of these, Helm 3 would let the API server drop what it does not know, and an empty selector is everybody.
		{`networkPolicy.from=[{"namespaceSelector":{"matchLabel":{"a":"b"}}}]`, "matchLabel"},
		{`networkPolicy.natsClients=[{"podSelector":{"matchExpressions":[{"key":"a","operator":"in","values":["b"]}]}}]`, "/networkPolicy/natsClients/0/podSelector/matchExpressions/0/operator"},
		{`networkPolicy.extraEgress=[{"ports":[{"prot":4318}]}]`, "/networkPolicy/extraEgress/0/ports/0"},
		{`networkPolicy.dns=[{"ports":[{"port":53,"protocol":"udp"}]}]`, "/networkPolicy/dns/0/ports/0/protocol"},
		{`edge.extraEnv=[{"name":"A","valueFrom":{"secretKeyRf":{"name":"a","key":"b"}}}]`, "secretKeyRf"},
		{`edge.extraEnv=[{"name":"A","valueFrom":{"secretKeyRef":{"name":"a"}}}]`, "/edge/extraEnv/0/valueFrom/secretKeyRef"},
		{`edge.affinity={"nodeAffinity":{"requiredDuringScheduling":{}}}`, "requiredDuringScheduling"},
		{`api.affinity={"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"topologyKey":"zone"}]}}`, "topologyKey"},
		{`nats.affinity={"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{}}]}}`, "/nats/affinity/podAffinity"},
		{`edge.topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabel":{}}}]`, "matchLabel"},
		{`metrics.podMonitor.interval="1.5s"`, "/metrics/podMonitor/interval"},
		{`commonLabels={"team":"a team with blanks"}`, "/commonLabels/team"},
		{`replicaCount=3`, "replicaCount"},
		{`settings.WS_NO_SUCH=1`, "WS_NO_SUCH"},
		{`settings.WS_ADDR=":80"`, "WS_ADDR"},
		{`settings.WS_PUBLISH_SECRET="a-secret-in-the-open"`, "WS_PUBLISH_SECRET"},
		{`settings.WS_PARTITIONS=0`, "/settings/WS_PARTITIONS"},
		{`settings.WS_REPLICAS=2`, "/settings/WS_REPLICAS"},
		{`settings.WS_LOG_LEVEL="loud"`, "/settings/WS_LOG_LEVEL"},
		{`settings.WS_HISTORY_AGE="30 days"`, "/settings/WS_HISTORY_AGE"},
		{`settings.WS_HISTORY_BYTES="big"`, "/settings/WS_HISTORY_BYTES"},

		// What does not go together.
		{`settings.FIREBASE_PROJECT_ID=""`, "settings.FIREBASE_PROJECT_ID is missing"},
		{`enabled=false`, "enabled is for a chart that has this one in it"},
		{`settings.WS_AUTH="dev"`, "settings.FIREBASE_AUTH_EMULATOR_HOST"},
		{`nats.enabled=false`, "nats.url is missing"},
		{`nats.url="nats://elsewhere:4222"`, "set nats.enabled=false"},
		{`nats.credentials.existingSecret=""`, "nats.credentials.existingSecret is missing"},
		{`nats.enabled=false;nats.url="tls://elsewhere:4222";nats.tls.existingSecret="x"`, "nats.tls.caSecret"},
		{`settings.WS_REPLICAS=5`, "settings.WS_REPLICAS is 5, but nats.replicas only 3"},
		{`publishSecret.value="sixteen-characters";publishSecret.existingSecret="x"`, "publishSecret.existingSecret are both set"},
		{`edge.autoscaling.minReplicas=30`, "edge.autoscaling.minReplicas is above maxReplicas"},
		{`api.autoscaling.minReplicas=30`, "api.autoscaling.minReplicas is above maxReplicas"},
		{`edge.autoscaling.kind="hpa";edge.autoscaling.targetSessions=50000`, "edge.autoscaling.targetSessions is 50000: it has to be below edge.maxSessions"},
		{`edge.autoscaling.kind="keda"`, "edge.autoscaling.keda.serverAddress is missing"},
		{`edge.maxSessions=200000`, "edge.resources.limits.memory is 768Mi: edge.maxSessions=200000"},
		{`tls.existingSecret="ws-tls"`, "edge.maxSessions=50000 sockets by TLS (tls.existingSecret) and a ring of 64 MiB need 1062Mi"},
		{`edge.resources.limits.memory="400Mi";edge.maxSessions=1000`, "edge.resources.requests.memory is 512Mi, above its limit of 400Mi"},
		{`api.resources.limits.cpu="200m"`, "api.resources.requests.cpu is 250m, above its limit of 200m"},
		{`edge.autoscaling.kind="hpa";edge.resources={"requests":{"cpu":null}}`, "edge.autoscaling.targetCPU is a share of edge.resources.requests.cpu"},
		{`edge.autoscaling={"kind":"keda","keda":{"serverAddress":"http://p:9090"}};edge.resources=null`, "edge.autoscaling.targetCPU is a share of edge.resources.requests.cpu"},
		{`api.autoscaling.enabled=true;api.resources=null`, "api.autoscaling.targetCPU is a share of api.resources.requests.cpu"},
		{`nats.enabled=false;nats.url="tls://a.example.com:4222,tls://b.example.com:5222"`, "nats.url has the port 5222, which networkPolicy.natsPorts lets no pod reach"},
		{`nats.enabled=false;nats.url="wss://nats.example.com"`, "nats.url has the port 443"},
		{`ingress.enabled=true`, "ingress.hosts is empty"},
		{`httpRoute.enabled=true`, "httpRoute.parentRefs is empty"},
		{`edge.service.externalTrafficPolicy="Local"`, "edge.service.type is ClusterIP"},
		{`edge.service={"type":"NodePort","loadBalancerClass":"x"}`, "edge.service.type is NodePort"},
		{`edge.extraEnv=[{"name":"WS_ADDR","value":":80"}]`, "edge.extraEnv has WS_ADDR"},
		{`api.extraEnv=[{"name":"A","value":"1"},{"name":"A","value":"2"}]`, "api.extraEnv has A"},
		{`httpRoute={"enabled":true,"parentRefs":[{"name":"g"}],"hostnames":["https://ws.example.com"]}`, "/httpRoute/hostnames/0"},
		{`nats.image.tag=""`, "nats.image.tag is empty"},
		{`fullnameOverride="1mesh"`, "set fullnameOverride"},
		{`fullnameOverride="my.mesh"`, "set fullnameOverride"},
		{`commonLabels={"app.kubernetes.io/part-of":"x"}`, "commonLabels has app.kubernetes.io/part-of"},
		{`edge.podLabels={"app.kubernetes.io/component":"x"}`, "edge.podLabels has app.kubernetes.io/component"},
		{`edge.podLabels={"no key!":"x"}`, "edge.podLabels has \"no key!\""},
		{`metrics.dashboard.labels={"app.kubernetes.io/name":"x"}`, "metrics.dashboard.labels has app.kubernetes.io/name"},
		{`metrics.serviceMonitor.enabled=true;metrics.podMonitor.enabled=true`, "counted twice"},
	} {
		t.Run(row.set, func(t *testing.T) {
			t.Parallel()
			args := []string{"--values", chartDir + "/ci/01-minimal-values.yaml"}
			for set := range strings.SplitSeq(row.set, ";") {
				args = append(args, "--set-json", set)
			}
			out, err := template(t, args...)
			if err == nil {
				t.Fatal("the chart renders it")
			}
			if !strings.Contains(out, row.says) {
				t.Errorf("the message does not say %q:\n%s", row.says, out)
			}
		})
	}
}

// TestAllAtOnce holds the chart to say everything that is wrong in one go.
func TestAllAtOnce(t *testing.T) {
	out, err := template(t, "--set", "ingress.enabled=true")
	if err == nil {
		t.Fatal("the chart renders without a project and credentials")
	}
	for _, says := range []string{"FIREBASE_PROJECT_ID", "nats.credentials.existingSecret", "ingress.hosts"} {
		if !strings.Contains(out, says) {
			t.Errorf("the message does not say %s:\n%s", says, out)
		}
	}
}
