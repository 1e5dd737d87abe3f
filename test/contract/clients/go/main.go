// The life of an item through connect-sdk-go, unmodified. Prints what it saw as JSON.
package main

import (
	"encoding/json"
	"os"

	"github.com/1Password/connect-sdk-go/connect"
	"github.com/1Password/connect-sdk-go/onepassword"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func ids(items []onepassword.Item) []string {
	found := []string{}
	for _, item := range items {
		found = append(found, item.ID)
	}
	return found
}

func main() {
	client := must(connect.NewClientFromEnvironment())
	title := "life of Go"
	vaults := must(client.GetVaults())
	vault := must(client.GetVaultByTitle(os.Getenv("VAULT_NAME")))
	more := &onepassword.ItemSection{ID: "s1", Label: "More"}
	created := must(client.CreateItem(&onepassword.Item{
		Title:    title,
		Category: onepassword.Login,
		Tags:     []string{"go"},
		URLs:     []onepassword.ItemURL{{Primary: true, URL: "https://example.com"}},
		Sections: []*onepassword.ItemSection{more},
		Fields: []*onepassword.ItemField{
			{Label: "username", Purpose: onepassword.FieldPurposeUsername, Value: "wendy"},
			{
				Label: "password", Purpose: onepassword.FieldPurposePassword, Generate: true,
				Recipe: &onepassword.GeneratorRecipe{Length: 24, CharacterSets: []string{"LETTERS", "DIGITS"}},
			},
			{Label: "extra", Type: onepassword.FieldTypeString, Value: "x", Section: more},
		},
	}, vault.ID))
	byTitle := must(client.GetItem(title, vault.Name))
	listed := must(client.GetItems(vault.ID))
	var loaded struct {
		Username string `opfield:"username"`
	}
	if err := client.LoadStructFromItemByTitle(&loaded, title, vault.ID); err != nil {
		panic(err)
	}
	byTitle.Title = title + " 2"
	updated := must(client.UpdateItem(byTitle, vault.ID))
	read := must(client.GetItem(created.ID, vault.ID))
	files := must(client.GetFiles(os.Getenv("FILE_ITEM"), vault.ID))
	content := must(client.GetFileContent(&files[0]))
	same := must(client.GetFile(files[0].ID, os.Getenv("FILE_ITEM"), vault.ID))
	if err := client.DeleteItemByTitle(read.Title, vault.ID); err != nil {
		panic(err)
	}
	_, gone := client.GetItemByUUID(created.ID, vault.ID)
	left := must(client.GetItems(vault.ID))

	out := map[string]any{
		"vaults":         len(vaults),
		"vault":          vault.Name,
		"created":        created,
		"byTitle":        byTitle.ID,
		"listed":         ids(listed),
		"loaded":         loaded.Username,
		"updatedVersion": updated.Version,
		"read":           read,
		"file":           map[string]any{"name": same.Name, "size": same.Size, "content": string(content)},
		"gone":           gone.Error(),
		"left":           ids(left),
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}
