/** What is used of Kubernetes' own client; for bundle.ts, which makes one file of this and its thousand modules. */
export { KubeConfig, KubernetesObjectApi } from "@kubernetes/client-node";
