package values

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecodeNamesTheKeyNobodyDeclares(t *testing.T) {
	_, err := Decode([]byte(`{"application": {"flask": {"replica": 2}}}`))
	require.Error(t, err)
	assert.Contains(t, err.Error(), `"replica"`)
	_, err = Decode([]byte(`{"application": {"flask": {"replicas": "two"}}}`))
	require.Error(t, err)
	assert.Contains(t, err.Error(), "replicas")
}

func TestQuantityTakesNumbers(t *testing.T) {
	v, err := Decode([]byte(`{"data": {"redis": {"resources": {"requests": {"cpu": 2, "memory": "1Gi"}, "limits": {"cpu": 1.5}}}}}`))
	require.NoError(t, err)
	redis := v.Data.Redis.Resources
	assert.Equal(t, map[string]Quantity{"cpu": "2", "memory": "1Gi"}, redis.Requests)
	assert.Equal(t, Quantity("1.5"), redis.Limits["cpu"])
	var q Quantity
	assert.Error(t, json.Unmarshal([]byte(`["1"]`), &q))
	assert.Error(t, json.Unmarshal([]byte(`true`), &q))
}
