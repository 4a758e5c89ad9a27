package engine

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"strings"
	"text/template"

	"golang.org/x/crypto/blowfish"
)

// addCiphers binds the functions that draw a salt or an initialisation vector.
func (w *worker) addCiphers(f template.FuncMap) {
	hash := real[func(string) string]("bcrypt")
	f["bcrypt"] = func(password string) string {
		if r := w.render.random; r != nil && len(password) <= 72 {
			return bcrypt(password, r.bytes(16))
		}
		return hash(password)
	}
	htpasswd := real[func(string, string) string]("htpasswd")
	f["htpasswd"] = func(user, password string) string {
		if r := w.render.random; r != nil && len(password) <= 72 && !strings.Contains(user, ":") {
			return fmt.Sprintf("%s:%s", user, bcrypt(password, r.bytes(16)))
		}
		return htpasswd(user, password)
	}
	encrypt := real[func(string, string) (string, error)]("encryptAES")
	f["encryptAES"] = func(password, text string) (string, error) {
		if r := w.render.random; r != nil && text != "" {
			return encryptAES(password, text, r.bytes(aes.BlockSize))
		}
		return encrypt(password, text)
	}
}

func encryptAES(password, text string, iv []byte) (string, error) {
	key := make([]byte, 32)
	copy(key, password)
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	pad := aes.BlockSize - len(text)%aes.BlockSize
	content := append([]byte(text), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(content, content)
	return base64.StdEncoding.EncodeToString(append(iv, content...)), nil
}

// bcryptCost is that of sprig's bcrypt.
const bcryptCost = 10

var bcryptBase64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// bcrypt hashes with a given salt, which golang.org/x/crypto/bcrypt does not
// let its callers choose. N. Provos, D. Mazières: A Future-Adaptable Password
// Scheme (1999).
func bcrypt(password string, salt []byte) string {
	key := append([]byte(password), 0)
	c, err := blowfish.NewSaltedCipher(key, salt)
	if err != nil {
		return "failed to encrypt string with bcrypt: " + err.Error()
	}
	for range 1 << bcryptCost {
		blowfish.ExpandKey(key, c)
		blowfish.ExpandKey(salt, c)
	}
	data := []byte("OrpheanBeholderScryDoubt")
	for i := 0; i < 24; i += 8 {
		for range 64 {
			c.Encrypt(data[i:i+8], data[i:i+8])
		}
	}
	return fmt.Sprintf("$2a$%02d$%s%s", bcryptCost, bcryptBase64.EncodeToString(salt), bcryptBase64.EncodeToString(data[:23]))
}
