package studio

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The text of a registration is a contract with the bridge and the notebook.
func TestRegistrationIsSignedAsTheBridgeReadsIt(t *testing.T) {
	text, err := os.ReadFile("../../services/comfyui/bridge/testdata/registration.json")
	require.NoError(t, err)
	var v struct {
		Secret, Token string
		Claims        Registration
	}
	require.NoError(t, json.Unmarshal(text, &v))
	require.Equal(t, v.Token, v.Claims.Sign(v.Secret))
	require.NotEqual(t, Registration{Act: "status"}.Sign("x"), Registration{Act: "status"}.Sign("x"), "each is signed anew")
}
