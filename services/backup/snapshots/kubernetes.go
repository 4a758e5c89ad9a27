package snapshots

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Cluster is the API server, where this pod's account may change one Secret and restart some Deployments.
type Cluster struct {
	Server    string // https://host:port
	Account   string // the directory with token and ca.crt
	Namespace string
}

// PutSecret lays keys over those of a Secret.
func (c Cluster) PutSecret(ctx context.Context, secret string, keys map[string][]byte) error {
	if len(keys) == 0 { // as JSON's null it would empty the Secret
		return nil
	}
	return c.patch(ctx, "/api/v1/namespaces/"+c.Namespace+"/secrets/"+secret, map[string]any{"data": keys})
}

// Restart lets the pods of a Deployment start anew, as kubectl rollout restart does.
func (c Cluster) Restart(ctx context.Context, deployment string) error {
	annotations := map[string]any{"kubectl.kubernetes.io/restartedAt": time.Now().UTC().Format(time.RFC3339)}
	return c.patch(ctx, "/apis/apps/v1/namespaces/"+c.Namespace+"/deployments/"+deployment,
		map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": annotations}}}})
}

func (c Cluster) patch(ctx context.Context, path string, change any) error {
	token, err := os.ReadFile(filepath.Join(c.Account, "token"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(c.Account, "ca.crt"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return errors.New("the account's ca.crt holds no certificate")
	}
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, c.Server+path+"?fieldManager=ai-film-restore", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Content-Type", "application/strategic-merge-patch+json")
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 2000))
		return fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	return nil
}
