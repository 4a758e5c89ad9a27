package check
import ("testing";"os";"github.com/ai-film/ai-film/charttest";"strings";"fmt")
func TestTmp(t *testing.T){
 for _, path := range strings.Fields(os.Getenv("CHARTS")) {
  c, err := charttest.Load(path)
  if err != nil { fmt.Println(path, "LOAD", err); continue }
  for _, p := range c.Profiles() {
   r, err := c.Render(p)
   if r == nil { fmt.Println(path, p.Name, "RENDER", strings.SplitN(err.Error(),"\n",2)[0]); continue }
   if err != nil { fmt.Println(path, p.Name, "STRICT", err) }
   for _, f := range Run(r, Cluster{}) { fmt.Println(p.Name, f) }
  }
 }
}
