(function(){let e=document.createElement(`link`).relList;if(e&&e.supports&&e.supports(`modulepreload`))return;for(let e of document.querySelectorAll(`link[rel="modulepreload"]`))n(e);new MutationObserver(e=>{for(let t of e)if(t.type===`childList`)for(let e of t.addedNodes)e.tagName===`LINK`&&e.rel===`modulepreload`&&n(e)}).observe(document,{childList:!0,subtree:!0});function t(e){let t={};return e.integrity&&(t.integrity=e.integrity),e.referrerPolicy&&(t.referrerPolicy=e.referrerPolicy),t.credentials=e.crossOrigin===`use-credentials`?`include`:e.crossOrigin===`anonymous`?`omit`:`same-origin`,t}function n(e){if(e.ep)return;e.ep=!0;let n=t(e);fetch(e.href,n)}})();var e=class extends Error{signIn;constructor(e,t){super(e),this.signIn=t}},t=class{endpoint;token;constructor(e,t){this.endpoint=e,this.token=t}async ask(e,t){let r=await this.post(e,t,`application/json`);return n(await r.text(),r.status)}async watch(e,t,r,i){let a=await this.post(e,t,`text/event-stream`,r);if(!a.headers.get(`content-type`)?.startsWith(`text/event-stream`)||!a.body)throw n(await a.text(),a.status),Error(`the server does not stream`);let o=a.body.pipeThrough(new TextDecoderStream).getReader(),s=``;for(;;){let{done:e,value:t}=await o.read();if(e)throw Error(`the stream broke off`);let r=(s+t.replaceAll(`\r
`,`
`)).split(`

`);s=r.pop()??``;for(let e of r){let t=t=>e.split(`
`).filter(e=>e.startsWith(`${t}:`)).map(e=>e.slice(t.length+1).trimStart()).join(`
`);if(t(`event`)===`complete`)return;t(`event`)===`next`&&i(n(t(`data`),a.status))}}}post(e,t,n,r){return fetch(this.endpoint,{method:`POST`,headers:{Accept:n,"Content-Type":`application/json`,Authorization:`Bearer ${this.token}`},body:JSON.stringify({query:e.toString(),variables:t}),signal:r})}};function n(t,n){let r;try{r=JSON.parse(t)}catch{throw new e(`The server answered with status ${n}.`,!1)}let[i]=r.errors??[];if(i)throw new e(i.message,[`UNAUTHENTICATED`,`FORBIDDEN`].includes(i.extensions?.code??``));if(!r.data)throw new e(`The server answered with status ${n} and no data.`,!1);return r.data}function r(){let e=document.getElementById(`holdfast-config`)?.textContent??`{}`;return{endpoint:`/graphql`,token:``,workloads:[{name:`transfers`,title:``,about:`Transfers of 1 between a few accounts.`}],plans:[],strategies:[`none`,`rowlock`],maxClients:200,maxMilliseconds:9e5,...JSON.parse(e)}}function i(e){return e.toUpperCase()}function a(e){return e.toLowerCase()}function o(e,t={},...n){let r=document.createElement(e);for(let[e,n]of Object.entries(t))n!==!1&&r.setAttribute(e,n===!0?``:n);return r.append(...n.filter(e=>e!==!1&&e!=null&&e!==``)),r}function s(e){let t=document.getElementById(e);if(!t)throw Error(`the page has no #${e}`);return t}var c=new WeakMap;function l(e,t,n){let r=JSON.stringify(t);c.get(e)!==r&&(c.set(e,r),e.replaceChildren(...n().filter(e=>e!==!1&&e!=null)))}var u=class{config;element=s(`experiment`);what=this.element.elements.namedItem(`what`);choices=s(`choices`);boxes;constructor(e){this.config=e;let t=(e,t,n)=>o(`option`,{value:`${e}/${t}`},n||t);this.what.append(o(`optgroup`,{label:`Workloads`},...e.workloads.map(e=>t(`workload`,e.name,e.title))),o(`optgroup`,{label:`Plans that come with holdfast`},...e.plans.map(e=>t(`plan`,e.name,e.title)))),this.what.value=e.workloads.some(e=>e.name===`transfers`)?`workload/transfers`:this.what.value,this.boxes=e.strategies.map(e=>o(`input`,{type:`checkbox`,name:`strategies`,value:e,checked:[`none`,`rowlock`,`lua`].includes(e)})),s(`strategies`).append(...this.boxes.map(e=>o(`label`,{},e,e.value))),this.number(`clients`).max=String(e.maxClients),this.number(`durationMs`).max=String(e.maxMilliseconds),this.what.addEventListener(`change`,()=>this.chosen()),this.element.addEventListener(`change`,()=>this.check()),this.chosen()}input(){let{kind:e,name:t}=this.choice();return e===`plan`?{plan:t}:{workload:t,strategies:this.boxes.filter(e=>e.checked).map(e=>i(e.value)),clients:this.number(`clients`).valueAsNumber,durationMs:this.number(`durationMs`).valueAsNumber,rounds:this.number(`rounds`).valueAsNumber,seed:this.number(`seed`).value}}choice(){let[e=``,t=``]=this.what.value.split(`/`);return{kind:e,name:t}}chosen(){let{kind:e,name:t}=this.choice(),n=e===`plan`?this.config.plans:this.config.workloads;s(`about`).textContent=n.find(e=>e.name===t)?.about??``,this.choices.disabled=this.choices.hidden=e===`plan`,this.check()}check(){let e=!this.boxes.some(e=>e.checked);this.boxes[0]?.setCustomValidity(e?`Pick at least one strategy.`:``)}number(e){return this.element.elements.namedItem(e)}},d=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},f=new d(`
    query Experiments {
  experiments {
    id
    name
    state
    startedAt
  }
}
    `),p=new d(`
    mutation StartExperiment($input: StartExperimentInput!) {
  startExperiment(input: $input) {
    experiment {
      id
    }
    userErrors {
      message
    }
  }
}
    `),m=new d(`
    mutation StopExperiment($input: StopExperimentInput!) {
  stopExperiment(input: $input) {
    experiment {
      id
      state
    }
    userErrors {
      message
    }
  }
}
    `),h=new d(`
    subscription ExperimentProgress($id: ID!) {
  experimentProgress(id: $id) {
    id
    name
    about
    state
    error
    progress {
      run
      runs
      round
      workload
      strategy
      operations
    }
    report {
      conclusion
      runs {
        workload
        strategy
        round
        findings {
          kind
          subject
          text
        }
      }
      cases {
        workload
        strategy
        setting
        successes
        refusals
        perSecond {
          median
          low
          high
        }
        p50Ms {
          median
          low
          high
        }
        p99Ms {
          median
          low
          high
        }
        violations
        damage
        audited
      }
    }
  }
}
    `);function g(e){return e.cases.filter(e=>e.violations>0).map(t=>{let n=e.runs.filter(e=>e.workload===t.workload&&e.strategy===t.strategy).flatMap(e=>e.findings).slice(0,3);return o(`div`,{class:`alarm`},o(`strong`,{},`${t.strategy} broke the shop under ${t.workload}: ${t.damage}`),o(`ul`,{},...n.map(e=>o(`li`,{},`${e.kind}: `,o(`code`,{},e.subject),` ${e.text}`))))})}function _(e){return e.length>0?[o(`h3`,{},`Conclusion`),o(`ul`,{},...e.map(e=>o(`li`,{},e)))]:[]}function v(e){let t=new Map;for(let n of e){let e=`${n.workload} on ${n.setting}`;t.set(e,[...t.get(e)??[],n])}return[...t].map(([e,t])=>o(`section`,{class:`card`,"aria-label":e},o(`h3`,{},e),o(`div`,{class:`plots`},y(`Successes in a second (more is better)`,t,[e=>e.perSecond]),y(`Latency in ms: median, and 99th percentile below it (less is better)`,t,[e=>e.p50Ms,e=>e.p99Ms])),o(`p`,{class:`quiet`},`Whiskers are the range of the rounds; from six rounds on, the 95 % confidence interval of the median. Hatched bars lost or invented something.`),b(e,t)))}function y(e,t,n){let r=Math.max(...t.flatMap(e=>n.map(t=>t(e).high)),1e-9),i=e=>`${100*e/r}%`,s=t.flatMap(e=>n.map((t,n)=>{let{median:r,low:s,high:c}=t(e),l=o(`div`,{class:[`fill`,n>0&&`second`,e.violations>0&&`broken`].filter(Boolean).join(` `)});l.style.setProperty(`--value`,i(r));let u=o(`div`,{class:`whisker`,hidden:s===c});return u.style.setProperty(`--low`,i(s)),u.style.setProperty(`--span`,i(c-s)),o(`div`,{class:`bar`},o(`span`,{},n===0?a(e.strategy):``),o(`div`,{class:`track`},l,u),o(`span`,{class:`figure`},S(r)))}));return o(`figure`,{},o(`figcaption`,{},e),o(`div`,{"aria-hidden":`true`},...s))}function b(e,t){let n=[`strategy`,`successes/s`,`p50 ms`,`p99 ms`,`successes`,`refusals`,`audit`],r=t.map(e=>o(`tr`,{},o(`th`,{scope:`row`},a(e.strategy)),...[x(e.perSecond),x(e.p50Ms),x(e.p99Ms),e.successes,e.refusals].map(e=>o(`td`,{},e)),o(`td`,{class:e.violations>0?`bad`:`good`},`${e.violations>0?`✗ `:``}${e.audited?e.damage:`not audited`}`)));return o(`div`,{class:`scroll`,tabindex:`0`,role:`region`,"aria-label":`Figures of ${e}`},o(`table`,{},o(`thead`,{},o(`tr`,{},...n.map(e=>o(`th`,{scope:`col`},e)))),o(`tbody`,{},...r)))}function x({median:e,low:t,high:n}){return t===n?S(e):`${S(e)} [${S(t)}–${S(n)}]`}function S(e){return e.toFixed(e>=100?0:e>=10?1:2)}var C=`holdfast:lab:token`,w=1e3,T=r(),E=new u(T),D=s(`sign-in`),O=s(`problem`),k=s(`start`),A=s(`stop`),j=new t(T.endpoint,``),M,N=e=>e!==`RUNNING`&&e!==`STOPPING`;function P(t){if(O.textContent=t instanceof e?t.message:`The server cannot be reached.`,t instanceof e&&t.signIn){sessionStorage.removeItem(C),F(``);let e=D.elements.namedItem(`token`);e.setCustomValidity(t.message),e.reportValidity()}}function F(e){j=new t(T.endpoint,e),D.hidden=e!==``,E.element.hidden=e===``,s(`experiments`).hidden=s(`shown`).hidden=!0,M?.end.abort(),M=void 0,e&&I().catch(P)}async function I(){let e=(await j.ask(f,{})).experiments??[],[t]=e;t&&!M&&L(t.id),s(`experiments`).hidden=e.length===0,l(s(`earlier`),[e,M?.id],()=>e.map(e=>{let t=new Date(e.startedAt).toLocaleTimeString(),n=o(`button`,{type:`button`,class:`secondary`,...e.id===M?.id&&{"aria-current":`true`}},`${e.name}, ${t}: ${e.state.toLowerCase()}`);return n.addEventListener(`click`,()=>void L(e.id)),o(`li`,{},n)}))}async function L(t){M?.end.abort();let n=new AbortController;M={id:t,end:n};let r=`RUNNING`;for(;!n.signal.aborted&&!N(r);)try{await j.watch(h,{id:t},n.signal,({experimentProgress:e})=>{let t=e.state!==r;r=e.state,R(e),t&&I().catch(P)})}catch(t){if(n.signal.aborted)return;if(t instanceof e){P(t);return}await new Promise(e=>setTimeout(e,w))}}function R(e){s(`shown`).hidden=!1,s(`shown-title`).textContent=e.name,k.disabled=!N(e.state),A.disabled=e.state!==`RUNNING`;let{progress:t,report:n}=e;l(s(`status`),[e.state,e.error,t?.run],()=>[z(e)]),s(`counted`).textContent=t&&!N(e.state)?`${t.operations} operations answered in this run.`:``;let r=s(`bar`);r.hidden=N(e.state),r.max=t?.runs??1,r.value=t?t.run-1:0,l(s(`alarms`),n.cases.map(t=>[e.id,t.workload,t.strategy,t.violations]),()=>g(n)),l(s(`conclusion`),n.conclusion,()=>_(n.conclusion)),l(s(`results`),n.cases,()=>v(n.cases))}function z(e){let t=e.progress;switch(e.state){case`RUNNING`:return t?`Run ${t.run} of ${t.runs}: ${t.workload} under ${a(t.strategy)}, round ${t.round}.`:`Starting servers.`;case`STOPPING`:return`Stopping: its servers are ending.`;case`FINISHED`:return`Finished.`;case`STOPPED`:return`Ended early: ${e.error}.`;case`FAILED`:return`Failed: ${e.error}`}}E.element.addEventListener(`submit`,t=>{t.preventDefault(),O.textContent=``,k.disabled=!0,j.ask(p,{input:E.input()}).then(({startExperiment:t})=>{let[n]=t?.userErrors??[];if(n||!t?.experiment)throw new e(n?.message??`Nothing was started.`,!1);return L(t.experiment.id),I()}).catch(e=>{k.disabled=!1,P(e)})}),A.addEventListener(`click`,()=>{A.disabled=!0,j.ask(m,{input:{id:M?.id}}).catch(P)}),D.addEventListener(`submit`,e=>{e.preventDefault();let t=D.elements.namedItem(`token`).value.trim().replace(/^Bearer\s+/i,``);sessionStorage.setItem(C,t),O.textContent=``,F(t)}),D.addEventListener(`input`,()=>D.elements.namedItem(`token`).setCustomValidity(``)),F(T.token||(sessionStorage.getItem(C)??``));